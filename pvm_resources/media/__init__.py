"""The media store: pictures, masks, keypoints and evidence by key, in a folder or any fsspec URL."""
