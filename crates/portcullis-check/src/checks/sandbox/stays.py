# Says its marker, leaves it where others may find it, stays for a while, and says what it found of others.
import glob, json, os, sys, time
given = json.loads(sys.stdin.read())
def say(*words):
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())
def now():
    return int(time.time() * 1000)
own = given["name"] + given["token"]
mine = []
def look():
    paths = [path for place in given["places"] for path in glob.glob(os.path.join(os.path.expandvars(place), given["name"] + "*"))]
    paths += glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline")
    for path in paths:
        try:
            with open(path, "rb") as file:
                said = file.read(4096)
        except Exception:
            continue
        if path not in mine and given["name"].encode() in (path.encode() + said):
            say("saw", (path.encode() + b" " + said).hex())
say("began", now())
say("marker", given["token"][::-1])
try:
    os.environ[own] = given["token"]
except Exception:
    pass
look()
for place in given["places"]:
    path = os.path.join(os.path.expandvars(place), own)
    try:
        with open(path, "w") as file:
            file.write(given["token"])
        mine.append(path)
    except Exception:
        pass
time.sleep(given["stays_ms"] / 1000)
look()
for path in mine:
    try:
        os.remove(path)
    except Exception:
        pass
say("ended", now())
