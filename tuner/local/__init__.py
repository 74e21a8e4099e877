"""Models of our own: trained and served with torch, which only this package imports."""
