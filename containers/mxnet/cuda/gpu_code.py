"""Which GPUs a CUDA library holds code for, read from the library itself.

    gpu_code.py LIBRARY               prints sm_50 sm_60 …
    gpu_code.py LIBRARY "sm_50 …"     fails when it holds other code than that

The CUDA compiler puts device code into ELF sections of its own, as *fat binaries*: a head, and then
one entry per architecture, either machine code (`sm_`, runs on that chip and later minor versions)
or PTX (`compute_`, which the driver can compile for any later chip). Runs on any Python 3, without
CUDA.
"""

import mmap
import struct
import sys

SECTIONS = (b".nv_fatbin", b"__nv_relfatbin")
MAGIC = 0xBA55ED50
ELF_CODE, PTX = 2, 1

# magic, version, size of this head, size of the entries after it
HEAD = struct.Struct("<IHHQ")
# kind, reserved, size of the entry's head, size of its body; the architecture is 28 bytes in
ENTRY = struct.Struct("<HHIQ")
ARCHITECTURE = struct.Struct("<I")
ARCHITECTURE_AT = 28
ALIGNMENT = 8


def architectures(data):
    """Names such as sm_70 and compute_80, the lowest first, of an ELF file's bytes."""
    found = set()
    for start, end in sections(data):
        found |= set(entries(data, start, end))
    return [name for _, name in sorted((number, name) for name, number in found)]


def sections(data):
    """Start and end of each section that holds fat binaries. Raises ValueError for no 64-bit ELF
    file."""
    if bytes(data[:5]) != b"\x7fELF\x02":
        raise ValueError("not a 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, of_names = struct.unpack_from("<HHH", data, 0x3A)
    heads = [struct.unpack_from("<IIQQQQ", data, table + n * size) for n in range(count)]
    names = heads[of_names][4]
    for name, _, _, _, offset, length in heads:
        end = data.find(b"\0", names + name)
        if bytes(data[names + name : end]) in SECTIONS:
            yield offset, offset + length


def entries(data, start, end):
    """(name, number) of every entry of the fat binaries between `start` and `end`."""
    at = start
    while at + HEAD.size <= end:
        magic, _, head_size, body_size = HEAD.unpack_from(data, at)
        if magic != MAGIC:  # padding between two binaries
            at += ALIGNMENT
            continue
        entry, at = at + head_size, at + head_size + body_size
        while entry < at:
            kind, _, entry_head, entry_body = ENTRY.unpack_from(data, entry)
            (number,) = ARCHITECTURE.unpack_from(data, entry + ARCHITECTURE_AT)
            if kind in (ELF_CODE, PTX):
                yield ("sm_" if kind == ELF_CODE else "compute_") + str(number), number
            entry += entry_head + entry_body


def main(words):
    path, expected = words[0], words[1].split() if len(words) > 1 else None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = architectures(data)
    print(*found)
    if expected is not None and found != expected:
        held = " ".join(found) or "no GPU"
        sys.exit(
            f"{path} holds code for {held}, and the image is to be labelled {' '.join(expected)}: "
            "mend ARCHITECTURES in the Dockerfile."
        )


if __name__ == "__main__":
    main(sys.argv[1:])
