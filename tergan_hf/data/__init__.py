"""Data sets: building, loading, splits, padded crops, pairs and augmentation."""
