"""The PUT as a plain Flask application: no order, no condition, no status."""

import json
import os

import boto3
from apig_wsgi import make_lambda_handler
from flask import Flask, request
from flask.typing import ResponseReturnValue

dynamodb = boto3.client("dynamodb")
sqs = boto3.client("sqs")
app = Flask(__name__)


@app.put("/users/<user>")
def put(user: str) -> ResponseReturnValue:
    """Store the body, or queue it."""
    stored = request.get_json()
    body = json.dumps(stored)
    if request.headers.get("Prefer") == "respond-async":
        sqs.send_message(
            QueueUrl=os.environ["UPDATES_QUEUE_URL"],
            MessageBody=body,
            MessageAttributes={"user": {"DataType": "String", "StringValue": user}},
        )
        return {"status": "pending"}, 202
    dynamodb.put_item(
        TableName=os.environ["USERS_TABLE"], Item={"id": {"S": user}, "body": {"S": body}}
    )
    return stored


handler = make_lambda_handler(app)
