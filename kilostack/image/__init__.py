"""The image service: records of disk images, and their contents."""
