import { execFile, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const PYTHON = '/usr/bin/python3';

function works(): boolean {
  try {
    execFileSync(PYTHON, ['-c', 'import grpc'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Debian's python3-grpcio, gRPC's C core: installed where that is possible. A text: why it is not there, which CI does not accept. */
export function pythonGrpc(): true | string {
  const found = installed();
  if (found !== true && process.env['CI'] !== undefined) throw new Error(`not tried against gRPC's C core: ${found}`);
  return found;
}

function installed(): true | string {
  if (works()) return true;
  if (process.getuid?.() !== 0) return 'python3-grpcio is not installed (apt-get install python3-grpcio)';
  try {
    execFileSync('apt-get', ['install', '-y', 'python3-grpcio'], { stdio: 'ignore', timeout: 120_000 });
  } catch {
    return 'python3-grpcio could not be installed by apt-get';
  }
  return works() ? true : 'python3-grpcio does not work';
}

/** Runs a script; what it prints is JSON. */
export async function python(script: string, ...args: string[]): Promise<unknown> {
  const { stdout } = await promisify(execFile)(PYTHON, ['-c', script, ...args], { timeout: 20_000 });
  return JSON.parse(stdout) as unknown;
}

/** What a server of the C core tells of one call: when it begins, and when it is over. */
export interface PythonNote {
  readonly on: string;
  readonly text: string;
  readonly metadata: Record<string, string>;
  /** Seconds the caller still waits; null: for ever. */
  readonly remaining: number | null;
}

export interface PythonServer extends AsyncDisposable {
  readonly port: number;
  readonly notes: readonly PythonNote[];
  /** Takes no new calls and ends when those under way have; those that take longer than `seconds` are cut. */
  stop(seconds: number): void;
  /** Ends the process as it stands. */
  kill(): void;
  readonly ended: Promise<void>;
}

/** The echo service (echo-grpc.ts) on gRPC's C core. `options`: arguments of its channel (`grpc.max_connection_age_ms`, …). */
export async function pythonServer(options: Readonly<Record<string, number>> = {}): Promise<PythonServer> {
  const child = spawn(PYTHON, ['-u', '-c', SERVER, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const notes: PythonNote[] = [];
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', () => reject(new Error('the Python server did not start')));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const told = JSON.parse(line) as PythonNote | { readonly port: number };
      if ('port' in told) resolve(told.port);
      else notes.push(told);
    });
  });
  return {
    port,
    notes,
    ended,
    kill: () => void child.kill('SIGKILL'),
    stop: (seconds) => void child.stdin.write(`${seconds}\n`),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

// No code is generated from a .proto: messages stay the bytes they are, as echo-grpc.ts has them.
const SERVER = `
import base64, grpc, json, sys, threading, time
from concurrent import futures

def tell(**what):
    sys.stdout.write(json.dumps(what) + '\\n')

def note(on, text, context):
    metadata = {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in context.invocation_metadata()}
    remaining = context.time_remaining()
    tell(on=on, text=text, metadata=metadata, remaining=None if remaining is None or remaining > 1e8 else remaining)
    return metadata

def text(message):
    return json.loads(message)['text']

def message(text):
    return json.dumps({'text': 'c: ' + text}).encode()

def say(request, context):
    asked = note('Say', text(request), context)
    over = threading.Event()
    context.add_callback(over.set)
    if 'x-takes' in asked and over.wait(float(asked['x-takes'])):
        note('Say left', text(request), context)
        return b''
    if 'x-gzip' in asked:
        context.set_compression(grpc.Compression.Gzip)
    context.set_trailing_metadata((('x-trailer', 'last'), ('x-trailer-bin', b'\\x00\\xfe')))
    if 'x-fail' in asked:
        context.abort(getattr(grpc.StatusCode, asked['x-fail']), 'f\\u00e4ils, 100% \\u2713')
    if 'x-user' in asked:
        context.send_initial_metadata((('x-server', asked['x-user']), ('x-server-bin', b'\\x01\\xff')))
    return message(text(request) * int(asked.get('x-times', 1)))

def gather(requests, context):
    texts = [text(request) for request in requests]
    note('Gather', ','.join(texts), context)
    return message(','.join(texts))

def repeat(request, context):
    note('Repeat', text(request), context)
    for index in range(3):
        yield message('%s %d' % (text(request), index))

def chat(requests, context):
    note('Chat', '', context)
    context.add_callback(lambda: note('Chat over', '', context))
    for request in requests:
        yield message(text(request))

class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            '/test.Echo/Say': grpc.unary_unary_rpc_method_handler(say),
            '/test.Echo/Gather': grpc.stream_unary_rpc_method_handler(gather),
            '/test.Echo/Repeat': grpc.unary_stream_rpc_method_handler(repeat),
            '/test.Echo/Chat': grpc.stream_stream_rpc_method_handler(chat),
        }.get(details.method)

server = grpc.server(futures.ThreadPoolExecutor(32), options=list(json.loads(sys.argv[1]).items()))
server.add_generic_rpc_handlers((Echo(),))
tell(port=server.add_insecure_port('127.0.0.1:0'))
server.start()
grace = sys.stdin.readline()
server.stop(float(grace) if grace else None).wait()
`;
