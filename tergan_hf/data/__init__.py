"""Data sets: loading, splits, crop_transform, pairing, augmentation."""
