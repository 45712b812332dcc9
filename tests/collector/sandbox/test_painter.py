"""Every view can be drawn, in any size and in the look of any city."""

from collector.sandbox import painter


def test_views_are_drawn_in_the_size_asked_for_and_differ_by_city() -> None:
    for view in painter.VIEWS:
        for size in ((64, 48), (48, 64)):
            first, second = (
                painter.paint(look, view, light="noon", month=6, size=size, seed=1)
                for look in (painter.LOOKS["isquarra"], painter.LOOKS["snovarra"])
            )
            assert (first.size, first.mode) == (size, "RGB")
            assert (first.tobytes() == second.tobytes()) is (view == "table")  # lunch looks the same everywhere
