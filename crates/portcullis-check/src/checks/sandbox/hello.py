import json, sys
print("hello", json.loads(sys.stdin.read())["token"][::-1])
