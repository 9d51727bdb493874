// A service of the shop as a process of its own: `storefront` asks the others, `reviews` is HTTP, `ratings` gRPC. Tells its parent
// where it listens, and on any message what it has answered so far.
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ServerUnaryCall, status, type sendUnaryData } from '@grpc/grpc-js';
import { devCertificates, loadDevCa } from '@inmesh/identity/dev';
import { createMesh } from 'inmesh';
import { echo, echoClient, type Message } from '../support/echo-grpc.ts';

export interface ServiceOptions {
  readonly app: 'storefront' | 'reviews' | 'ratings';
  readonly version: string;
  readonly port: number;
  readonly policy: string;
  readonly ca: string;
}

/** How many answers there were, by what was asked and what it came to: `/ok 200`, `Say 13`. */
export type Answered = Readonly<Record<string, number>>;

const { app, version, port, policy, ca } = JSON.parse(process.argv[2]!) as ServiceOptions;
const answered: Record<string, number> = {};
const note = (what: string): void => void (answered[what] = (answered[what] ?? 0) + 1);

const mesh = await createMesh({
  policy,
  admin: 0,
  identity: devCertificates(await loadDevCa(ca), { namespace: 'shop', serviceAccount: app }),
  workload: { name: `${app}-${version}`, namespace: 'shop', cluster: 'east', labels: { app, version }, serviceAccount: app },
});

async function serve(answer: (path: string) => Promise<number> | number): Promise<void> {
  const listener: RequestListener = (request, response) => {
    const path = request.url!;
    request.resume();
    void Promise.resolve(answer(path)).then((code) => {
      note(`${path} ${code}`);
      response.writeHead(code, { 'content-type': 'text/plain' });
      response.end(`${app} ${version} says ${code}\n`);
    });
  };
  const server = createServer(listener);
  mesh.attach(server);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  if ((server.address() as AddressInfo).port !== port) throw new Error('listens elsewhere');
}

if (app === 'reviews') {
  let flaky = 0;
  const answers: Readonly<Record<string, () => number>> = {
    '/ok': () => 200,
    '/missing': () => 404,
    '/broken': () => 500,
    // Every first attempt fails.
    '/flaky': () => ((flaky += 1) % 2 === 1 ? 503 : 200),
  };
  await serve((path) => answers[path]?.() ?? 400);
} else if (app === 'ratings') {
  const Say = ({ request }: ServerUnaryCall<Message, Message>, callback: sendUnaryData<Message>): void => {
    const code = request.text === '/refused' ? status.INTERNAL : status.OK;
    note(`Say ${code}`);
    if (code === status.OK) callback(null, { text: 'five stars' });
    else callback({ code, details: 'no stars' });
  };
  await echo(app, { port, server: mesh.grpc.server(), methods: { Say } });
} else {
  const ratings = echoClient('mesh:///ratings', mesh.grpc.credentials(), mesh.grpc.options());
  await serve(async (path) => {
    if (path === '/rated' || path === '/refused') return (await ratings.say(path)).code === 0 ? 200 : 502;
    return (await mesh.request(path === '/nowhere' ? 'http://nowhere/' : `http://reviews${path}`)).status;
  });
}

process.on('message', () => process.send!(answered));
process.on('disconnect', () => process.exit(0));
process.send!({ metrics: `${mesh.adminUrl}/metrics` });
