"""A trained model used on new pictures: one picture in memory, or a folder of any size."""
