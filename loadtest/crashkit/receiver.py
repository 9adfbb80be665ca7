"""What http actions call: a process of its own that lives through all kills and remembers who called it, and when.

`epoch` is the server's incarnation: how often it was started before. A connection belongs to the incarnation in which it
was accepted; `Receiver.begin` waits until those of the last one are gone.
"""
import multiprocessing
import re
import selectors
import socket
import time

from harness import free_port

MARKER = re.compile(rb'"marker":"([^"]*)"')


def receive(port, pipe):
    """Process: answers each POST with 200 and keeps (epoch, marker). `calls` gives what came since the last time."""
    calls, epoch, living = [], 0, 0
    selector = selectors.DefaultSelector()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ, None)
    selector.register(pipe.fileno(), selectors.EVENT_READ, "pipe")
    pipe.send("ready")
    while True:
        for key, _ in selector.select():
            if key.data == "pipe":
                try:
                    word, value = pipe.recv()
                except EOFError:
                    return
                if word == "epoch":
                    epoch = value
                pipe.send(calls if word == "calls" else living)
                if word == "calls":
                    calls = []
            elif key.data is None:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    continue
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ, (bytearray(), epoch))
                living += 1
            elif not serve(key.fileobj, key.data, calls):
                selector.unregister(key.fileobj)
                key.fileobj.close()
                living -= 1


def serve(connection, state, calls):
    """Reads what there is and answers whole requests; False when the peer is gone."""
    buffer, epoch = state
    try:
        data = connection.recv(1 << 20)
    except BlockingIOError:
        return True
    except OSError:
        return False
    if not data:
        return False
    buffer += data
    while True:
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return True
        length = re.search(rb"\r\ncontent-length: *(\d+)", bytes(buffer[:end]).lower())
        if length:
            stop = end + 4 + int(length.group(1))
            if len(buffer) < stop:
                return True
        else:
            last = buffer.find(b"0\r\n\r\n", end + 4)
            if last < 0:
                return True
            stop = last + 5
        marker = MARKER.search(bytes(buffer[end:stop]))
        calls.append((epoch, marker.group(1).decode() if marker else "?"))
        del buffer[:stop]
        try:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except OSError:
            return False


class Child:
    """A process that answers (word, value) over a pipe."""

    def __init__(self, target, *arguments):
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=target, args=(*arguments, other), daemon=True)
        self.process.start()
        self.started = self.pipe.recv()

    def ask(self, word, value=None):
        self.pipe.send((word, value))
        return self.pipe.recv()

    def stop(self):
        self.process.terminate()
        self.process.join()


class Receiver(Child):
    def __init__(self):
        self.port = free_port()
        super().__init__(receive, self.port)

    def calls(self):
        return self.ask("calls")

    def begin(self, epoch):
        """The last incarnation was killed: waits until all that it sent was read."""
        deadline = time.monotonic() + 10
        while self.ask("living") and time.monotonic() < deadline:
            time.sleep(0.01)
        self.ask("epoch", epoch)
