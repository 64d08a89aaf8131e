"""Reading files: pictures, TIFF, arrays, MATLAB files, label maps and lists of text."""
