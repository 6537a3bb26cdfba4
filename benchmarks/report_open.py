"""How large a run's report is, and how long Chromium takes to open it, from nothing each time.

    python -m benchmarks.report_open [RUN] [--candidates 200] [--repeats 5]

Without RUN a run of so many candidates is made up, of which nothing was measured. Each time is of a fresh browser, in
seconds from the start of the navigation, median and largest: loaded (the document and its scripts), readable (tables
and texts stand), first chart (it has been painted), interactive (plotly has put its own in that place). Needs chromium
and chromedriver. On a busy machine the clock says more about the others than about the page.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from tests.report.html.made_up import MadeUp

MOST_BYTES = 8_000_000
MOST_SECONDS = 2.0
PATIENCE = 120
MOMENTS = {
    "loaded": "return performance.getEntriesByType('navigation')[0].loadEventEnd",
    "readable": "return performance.getEntriesByName('ready')[0]?.startTime",
    "first chart": "return performance.getEntriesByName('drawn')[0]?.startTime",
    "interactive": "return performance.getEntriesByName('interactive')[0]?.startTime",
}
WITHOUT_GOAL = {"interactive"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        run = words.run or MadeUp(Path(home) / "run", words.candidates).run.path
        page = Path(home) / "report.html"
        subprocess.run([sys.executable, "-m", "autoprune", "report", run, "--out", page], check=True)
        size = page.stat().st_size
        opened = [moments(page) for _ in range(words.repeats)]
    screen = Console()
    screen.print(f"{size / 1e6:.2f} MB (goal: below {MOST_BYTES / 1e6:g} MB, {held(size < MOST_BYTES)})", markup=False)
    table = Table("moment", "median s", "largest s", "goal", box=None, padding=(0, 2, 0, 0))
    for name in MOMENTS:
        times = [each[name] for each in opened]
        goal = "" if name in WITHOUT_GOAL else f"below {MOST_SECONDS:g} s, {held(max(times) < MOST_SECONDS)}"
        table.add_row(name, f"{statistics.median(times):.2f}", f"{max(times):.2f}", goal)
    screen.print(table)


def moments(page: Path) -> dict[str, float]:
    """Seconds from the start of the navigation to each moment, in a browser of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(word)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.get(page.as_uri())
        wait = WebDriverWait(driver, PATIENCE, poll_frequency=0.05)
        return {
            name: wait.until(lambda seen, script=ask: seen.execute_script(script)) / 1000
            for name, ask in MOMENTS.items()
        }
    finally:
        driver.quit()


def held(goal: bool) -> str:
    return "holds" if goal else "missed"


if __name__ == "__main__":
    main()
