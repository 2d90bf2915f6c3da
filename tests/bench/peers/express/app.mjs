// The PUT as a plain Express application: no order, no condition, no status.
import { DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import serverlessExpress from "@codegenie/serverless-express";
import express from "express";

const dynamodb = new DynamoDBClient({});
const sqs = new SQSClient({});
const app = express();
app.use(express.json({ limit: "256kb" }));

app.put("/users/:id", async (request, response) => {
  const { id } = request.params;
  const body = JSON.stringify(request.body);
  if (request.get("prefer") === "respond-async") {
    const user = { DataType: "String", StringValue: id };
    await sqs.send(
      new SendMessageCommand({
        QueueUrl: process.env.UPDATES_QUEUE_URL,
        MessageBody: body,
        MessageAttributes: { user },
      }),
    );
    response.status(202).json({ status: "pending" });
    return;
  }
  await dynamodb.send(
    new PutItemCommand({
      TableName: process.env.USERS_TABLE,
      Item: { id: { S: id }, body: { S: body } },
    }),
  );
  response.json(request.body);
});

export const handler = serverlessExpress({ app });
