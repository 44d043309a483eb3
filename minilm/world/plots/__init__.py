"""The plots: each tells one kind of story, from the shared scenes and its own."""

from __future__ import annotations

from minilm.world.plots import broken, errand, gift, hidden, lent, lost, meeting

# Name → the module that tells it.
PLOTS = {
    "lost": lost,
    "hidden": hidden,
    "lent": lent,
    "broken": broken,
    "errand": errand,
    "gift": gift,
    "meeting": meeting,
}
