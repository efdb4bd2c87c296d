"""What silver refused or found missing, with the rule and the place, so that nothing is lost in silence.

A reject is not an error: what could be used of its answer was used. `path` is a JSON path into the answer's body
(`$[3].market_cap`); the answer itself lies in bronze, at the object and line named here. Where a service answered
but left days out (a coin that is younger, a gap of its own), `day_missing` names the first and the last of them, and
they are not asked for again.
"""

from coinlake.table import Column, Date, String, observations

RULES = {
    "backward_timestamp": "a point that the next one, a moment earlier, supersedes",
    "coin_missing": "asked for, but not in the answer",
    "day_missing": "days inside the window asked for that the answer has no point for",
    "duplicated": "the same thing twice in one answer: the later is kept",
    "duplicated_timestamp": "the same moment twice in one series: the later arrival is kept",
    "holds_nul": "a name with the character NUL in it, which no query could ask for",
    "missing": "a value that the table cannot do without is not there",
    "missing_field": "a field that belongs to every row is in none of them",
    "no_points": "a series without a single point",
    "not_allowed": "a value outside the table's list",
    "not_finite": "a number that is infinite, too large, or none at all",
    "not_json": "a body that is not JSON",
    "not_ok": "an answer whose status is not 200",
    "not_usd": "prices in another currency than dollars",
    "out_of_range": "a number outside the range of its column",
    "time_out_of_range": "a moment before 2009 or more than a week after the answer",
    "unequal_arrays": "series of different length; they were joined by time",
    "unexpected_shape": "a list where an object should be, or the reverse, or a point that is too short",
    "unknown_endpoint": "an answer of an endpoint that no table reads",
    "unknown_field": "a field that we do not know: the service's schema has moved on",
    "unreadable_file": "a file of own histories that cannot be read, in whole or in that line",
    "wrong_type": "a value of another JSON type than it should have",
}

ABSENCES = ("coin_missing", "day_missing", "no_points")
"""Rules that find nothing wrong with an answer: it says that the service has nothing to tell."""

TABLE = observations(
    "silver.rejects",
    key=("bronze_object", "line", "path", "rule"),
    columns={
        "path": Column(String, "JSON path of what was refused, or of what should have been there"),
        "rule": Column(String, "the rule that refused it", one_of=tuple(RULES)),
        "source": Column(String, "who gave the answer", required=True),
        "coin_id": Column(String, "CoinGecko id, where it is about one coin"),
        "granularity": Column(String, "granularity asked for, where days are missing"),
        "first_day": Column(Date, "first UTC day that is missing"),
        "last_day": Column(Date, "last UTC day that is missing"),
        "value": Column(String, "what was there, its first 200 characters"),
        "detail": Column(String, "what was expected"),
    },
    grain="one thing refused in one line of one bronze object",
)
