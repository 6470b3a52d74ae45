"""Data sets: loading, splits, framing, pairing, augmentation."""
