"""Where studies are kept: folders on disks, and buckets that speak S3 (neither torch nor ray)."""
