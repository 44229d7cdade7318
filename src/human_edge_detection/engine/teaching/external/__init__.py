"""Teachers of other frameworks: what they say of whole images, read from files, as soft labels of the student's views.

An *answer* is what such a teacher says of one image, in pixels of the image file, before it is warped into a view.
"""
