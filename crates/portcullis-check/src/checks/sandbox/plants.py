# Writes a marker wherever a job may write, reads it back and says where.
import json, os, sys
given = json.loads(sys.stdin.read())
kept = 0
for place in given["places"]:
    path = os.path.join(os.path.expandvars(place), given["name"])
    try:
        with open(path, "w") as file:
            file.write(given["marker"])
        with open(path) as file:
            kept += file.read() == given["marker"]
    except Exception:
        pass
print("planted", kept, given["token"][::-1])
