"""The picture that proves a match, and the sheets and text it is drawn with."""
