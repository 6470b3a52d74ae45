"""Saying where a file comes from: metadata, C2PA manifests and their signatures, and the check of both."""
