"""What is found about image files and splits as a whole, and how a data set that is wrong as a whole is mended."""
