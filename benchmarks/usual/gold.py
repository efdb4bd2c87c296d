"""gold_analyze as it is usually written: pandas and Google's own client."""

import base64
import io
import json

import functions_framework
import pandas as pd
from google.cloud import storage


@functions_framework.http
def gold_analyze(request):
    """Daily prices of all that is in silver."""
    event = json.loads(base64.b64decode(request.get_json()["message"]["data"]))
    client = storage.Client()
    blobs = client.list_blobs(event["bucket"])
    rows = pd.concat([pd.read_parquet(io.BytesIO(blob.download_as_bytes())) for blob in blobs])
    daily = rows.groupby(["id", rows["last_updated"].dt.date])["current_price"].agg(["first", "max", "min", "last"])
    client.bucket("gold").blob("daily.parquet").upload_from_string(daily.reset_index().to_parquet())
    return "", 204
