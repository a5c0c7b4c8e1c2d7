"""Make the two tables of this package: `python data.py` rewrites them, byte for byte."""

from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent


def harvest(rng: np.random.Generator) -> pl.DataFrame:
    """Fields of 60 farms over 6 years: soil belongs to the farm, weather to the year."""
    farm, year = np.divmod(np.arange(360), 6)
    soil = rng.normal(0, 1, 60).round(3)[farm]
    rain = rng.gamma(9, 60, 6).round(0)[year]
    nitrogen = rng.uniform(40, 200, 360).round(1)
    yields = 4 + 0.8 * soil + 0.002 * rain + 2.4 * (1 - np.exp(-nitrogen / 70))
    return pl.DataFrame(
        {
            "field": [f"f{number}" for number in rng.permutation(360) + 1],
            "farm": [f"farm{number:02d}" for number in farm],
            "year": year + 2018,
            "soil": soil,
            "rain_mm": rain,
            "nitrogen_kg": nitrogen,
            "tonnes": (yields + rng.normal(0, 0.3, 360)).round(3),
        }
    )


def tea(rng: np.random.Generator) -> pl.DataFrame:
    """Cups of tea: how hot, how long, how much leaf, and whether the taster liked it."""
    celsius, minutes = rng.uniform(60, 100, 240).round(1), rng.uniform(0.5, 8, 240).round(1)
    grams = rng.uniform(1, 5, 240).round(2)
    bitter = 0.05 * (celsius - 80) + 0.4 * (minutes - 3) + 0.5 * (grams - 2.5)
    liked = np.abs(bitter + rng.normal(0, 0.3, 240)) < 0.9
    cup = rng.permutation(240) + 1
    return pl.DataFrame(
        {"cup_id": cup, "celsius": celsius, "minutes": minutes, "grams": grams, "target": liked}
    ).with_columns(pl.col("target").cast(pl.Int8))


if __name__ == "__main__":
    folder = HERE / "src" / "example_tasks" / "data"
    harvest(np.random.default_rng(1)).write_csv(folder / "harvest" / "fields.csv")
    tea(np.random.default_rng(2)).write_csv(folder / "tea" / "data.csv")
