"""What `journey.py` is made of: the places where rooms meet.

Here belongs what needs two rooms or more: it opens a project and hands one room's records, files or skills to another.
What one room can do alone belongs into that room; what several need and no journey knows of, into a hallway. One join a
file, used as a module (`from tunewright.joins import judging`), so there is no front: only `journey.py`, `ranking.py`
and the command line look in. Which join may use which is written down in `pyproject.toml`.
"""
