"""The host's side of profiles and stacks, in plain Python."""

from minihost import field, fields

STACKS, STACKS_REPLY, PROFILE, PROFILE_PART = 36, 37, 44, 45
START, STOP, READ, DROP = 1, 2, 3, 4


class Refused(Exception):
    """The worker has rejected the request."""


class Profile:
    """A profile of a worker."""

    def __init__(self, worker, hz=200, seconds=60.0, threads=0, call=0, number=1000):
        self.worker, self.number, self.asked = worker, number, number
        head = field(1, START) + field(3, hz) + field(4, int(seconds * 1e6))
        head += field(5, threads) + field(6, 1) + field(7, 65536) + field(8, call)
        worker.control.send(PROFILE, number, head)
        self.answer(number)

    def ask(self, op, start=0):
        self.asked += 1
        head = field(1, op) + field(2, self.number) + field(9, start)
        self.worker.control.send(PROFILE, self.asked, head)
        return self.answer(self.asked)

    def answer(self, number):
        """Return the size of the whole and the bytes of a part."""
        while True:
            frame = self.worker.control.receive()
            if frame.kind != PROFILE_PART:
                continue
            got = dict(fields(frame.head))
            if frame.call_id == number and 4 not in got:
                break
        if got.get(1):
            raise Refused(got[1].decode())
        return got.get(2, 0), got.get(3, b"")

    def ended(self):
        """Wait until the profile has ended by itself."""
        while True:
            frame = self.worker.control.receive()
            if frame.kind == PROFILE_PART and dict(fields(frame.head)).get(4):
                assert frame.call_id == self.number
                return

    def stop(self):
        size, data = self.ask(STOP)
        while len(data) < size:
            _, more = self.ask(READ, len(data))
            data += more
        self.ask(DROP)
        return Report(data)


class Report:
    """The content of a profile.

    `stacks` are (thread, marks, count, frames), frames (function, file, line), the outermost first.
    """

    def __init__(self, data):
        functions, frames, threads, stacks, numbers = [], [], [], [], {}
        for number, value in fields(data):
            if number == 8:
                got = dict(fields(value))
                functions.append((got[1].decode(), got[2].decode()))
            elif number == 9:
                got = dict(fields(value))
                frames.append((*functions[got.get(1, 0)], got.get(2, 0)))
            elif number == 10:
                got = dict(fields(value))
                threads.append(got.get(1, b"").decode())
            elif number == 11:
                stacks.append(dict(fields(value)))
            else:
                numbers[number] = value
        self.samples, self.missed = numbers.get(1, 0), numbers.get(2, 0)
        self.lost, self.truncated = numbers.get(3, 0), numbers.get(4, 0)
        self.failure = numbers.get(12, b"").decode()
        self.stacks = []
        for stack in stacks:
            indices = [frames[index] for index in packed(stack.get(4, b""))]
            self.stacks.append(
                (threads[stack.get(1, 0)], stack.get(2, 0), stack.get(3, 0), indices)
            )

    def total(self, marks=0, within=None):
        """Count samples with these marks, of stacks with this function."""
        return sum(
            count
            for _, has, count, frames in self.stacks
            if has & marks == marks and (within is None or any(f[0] == within for f in frames))
        )


def packed(data):
    values, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
    return values


def stacks(worker, number=7):
    """Return the threads of a worker: (name, frames), the innermost frame first."""
    worker.control.send(STACKS, number)
    while True:
        frame = worker.control.receive()
        if frame.kind == STACKS_REPLY and frame.call_id == number:
            break
    threads = []
    for key, value in fields(frame.head):
        if key != 1:
            continue
        name, frames = "", []
        for inner, data in fields(value):
            if inner == 1:
                name = data.decode()
            elif inner == 3:
                got = dict(fields(data))
                frames.append((got[3].decode(), got[1].decode(), got.get(2, 0)))
        threads.append((name, frames))
    return threads
