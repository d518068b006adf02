"""The pictures in this folder, made from real images and builds."""
