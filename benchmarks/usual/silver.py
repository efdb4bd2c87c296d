"""silver_process as it is usually written: pandas and Google's own client."""

import base64
import io
import json

import functions_framework
import pandas as pd
from google.cloud import storage


@functions_framework.http
def silver_process(request):
    """Type and deduplicate what landed in bronze."""
    event = json.loads(base64.b64decode(request.get_json()["message"]["data"]))
    client = storage.Client()
    raw = client.bucket(event["bucket"]).blob(event["name"]).download_as_bytes()
    rows = pd.read_parquet(io.BytesIO(raw))
    rows["last_updated"] = pd.to_datetime(rows["last_updated"], utc=True)
    rows = rows.drop_duplicates(["id", "last_updated"])
    client.bucket("silver").blob(event["name"]).upload_from_string(rows.to_parquet())
    return "", 204
