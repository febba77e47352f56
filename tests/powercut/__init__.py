"""Power cuts, by model: what real pulls did to their files is recorded, and every disk that a cut in the middle of it
could have left is a disk that the engine must get along with.

    strace.py    what strace(1) wrote of a command and its workers, as calls
    tape.py      those calls as operations on files and folders, in their order
    scenes.py    the pulls that are recorded
    outage.py    a moment, and what of the operations before it reached the disk: a state
    resume.py    the engine's own resume on such a state, with lanes that cost nothing
    verdict.py   what must hold afterwards
    plants.py    mistakes that the engine does not make, put into a recording or into the engine: the model finds them

`python -m tests.powercut` tries ten thousand states.
"""
