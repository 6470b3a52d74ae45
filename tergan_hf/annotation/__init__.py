"""Recognition over whole data sets: photos in, one row per face out."""
