import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

import { type Client, type Config, createClient } from "@callmine/rolecall";

/** One answer of a server in Rolecall's place. faults.json explains its members. */
interface Answer {
  status?: number;
  body?: string;
  json?: unknown;
  decision?: unknown;
  admits?: boolean;
  problem?: unknown;
  pad?: number;
  location?: boolean;
  close?: boolean;
  hang?: boolean;
  cut?: boolean;
}

export interface Fault {
  name: string;
  answers: Answer[];
  timeout?: number;
  retries?: number;
  own?: number;
  service?: number;
  reported?: boolean;
  asked?: number;
}

interface Faults {
  admits: unknown;
  faults: Fault[];
  no_token: string[][];
}

/** The table that the Go client's tests read, too. This file is in build/test when it runs. */
export const table: Faults = JSON.parse(readFileSync(new URL("../../../testdata/faults.json", import.meta.url), "utf8"));

/**
 * Returns a client that lets a busy machine answer. Only the faults with a time-out need to run into
 * it.
 */
export function patientClient(config: Config): Client {
  return createClient({ ...config, timeout: config.timeout ?? 60_000 });
}

/** A server of a test, which counts the requests. */
export interface Fake {
  url: string;
  asked: number;
}

/** Starts a server that lives as long as the test. */
export async function fake(t: TestContext, serve: (request: IncomingMessage, response: ServerResponse, body: string) => void): Promise<Fake> {
  const server = createServer(async (request, response) => {
    counted.asked++;
    let body = "";
    for await (const part of request) {
      body += part;
    }
    serve(request, response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const counted: Fake = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: 0 };
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return counted;
}

/** An address at which nothing listens. */
export const deadUrl = "http://127.0.0.1:2"; // fetch refuses to ask port 1

/** Starts a server with the fault. A redirect leads to elsewhere. */
export async function faulty(t: TestContext, fault: Fault, elsewhere: string): Promise<Fake> {
  if (fault.answers.length === 0) {
    return { url: deadUrl, asked: 0 };
  }
  let turn = 0;
  return fake(t, (request, response) => {
    write(fault.answers[Math.min(turn++, fault.answers.length - 1)] as Answer, request, response, elsewhere);
  });
}

/** Answers as the table says. */
export function write(answer: Answer, request: IncomingMessage, response: ServerResponse, elsewhere: string): void {
  if (answer.close) {
    request.socket.destroy();
    return;
  }
  const body = bodyOf(answer, request.method === "POST") + " ".repeat(answer.pad ?? 0);
  response.statusCode = answer.status ?? 200;
  if (answer.location) {
    response.setHeader("Location", elsewhere);
  }
  if (answer.problem !== undefined) {
    response.setHeader("Content-Type", "application/problem+json");
  }
  if (!answer.hang && !answer.cut) {
    response.end(body);
  } else if (body !== "") {
    response.setHeader("Content-Length", "100000");
    response.write(body, () => {
      if (answer.cut) {
        request.socket.end();
      }
    });
  }
}

function bodyOf(answer: Answer, many: boolean): string {
  if (answer.admits || answer.decision !== undefined) {
    const decision = answer.admits ? table.admits : answer.decision;
    return JSON.stringify(many ? { decisions: [decision] } : decision);
  }
  const json = answer.json ?? answer.problem;
  return json === undefined ? (answer.body ?? "") : JSON.stringify(json);
}
