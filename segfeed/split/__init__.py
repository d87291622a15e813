"""Divide pictures into train, validation and test: `segfeed split`, and the files that it reads and writes."""
