"""What one would write without KServe: a JSON object of columns becomes a DataFrame, unchecked, a list comes back.

python benchmarks/sides/bare_app.py FOLDER PORT
"""

import sys
from pathlib import Path

import pandas as pd
import uvicorn
from fastapi import FastAPI

from delivery.models.folder import load_model

app, predictor = FastAPI(), load_model(Path(sys.argv[1]))


@app.get("/ready")
async def ready() -> bool:
    return True


@app.post("/predict")
async def predict(columns: dict[str, list]) -> dict[str, list[float]]:
    return {"predict": predictor.predict(pd.DataFrame(columns)).tolist()}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
