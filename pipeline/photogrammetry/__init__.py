"""Aerial frames: where each was taken from, what it shows, and orthophotos made of them."""
