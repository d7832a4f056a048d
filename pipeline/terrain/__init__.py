"""The ground's height: surveyed contours, spots and breaklines to a grid, and what follows."""
