import json, os, sys
given = json.loads(sys.stdin.read())
def say(*words):
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())
def read(path):
    with open(path, "rb") as file:
        return file.read(4096)
def each(tries):
    first = None
    for one in tries:
        try:
            got = one()
            if got:
                return got
        except Exception as error:
            first = first or error
    if first:
        raise first
    raise FileNotFoundError(2, "nothing there")
def asks(address, head, family=None):
    import socket
    if family is None:
        stream = socket.create_connection(address, 1.0)
    else:
        stream = socket.socket(family)
        stream.settimeout(1.0)
        stream.connect(address)
    with stream:
        stream.settimeout(1.0)
        stream.sendall(head.encode())
        return stream.recv(512)
def attempt():
#BODY#
say("trying", given["token"][::-1])
try:
    got = attempt()
except (ImportError, AttributeError, NameError, SyntaxError) as error:
    say("unable", type(error).__name__)
except BaseException as error:
    say("held", type(error).__name__, getattr(error, "errno", ""))
else:
    say("got", got.hex())
