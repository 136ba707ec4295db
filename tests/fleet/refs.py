"""Prints every ref of every bare repository below FOLDER, and what it points to: `refs.py FOLDER`."""

import os
import sys

for folder, folders, names in sorted(os.walk(sys.argv[1])):
    if "HEAD" in names:
        folders.clear()
        refs = {}
        if "packed-refs" in names:
            with open(f"{folder}/packed-refs") as file:
                refs.update(reversed(line.split()) for line in file if not line.startswith(("#", "^")))
        for below, _, files in os.walk(f"{folder}/refs"):
            for name in files:
                with open(f"{below}/{name}") as file:
                    refs[os.path.relpath(f"{below}/{name}", folder)] = file.read().strip()
        for name, id in sorted(refs.items()):
            print(os.path.relpath(folder, sys.argv[1]), name, id)
