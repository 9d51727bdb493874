// A registry as a process of its own: options of startRegistry as JSON.
import { startRegistry } from '@inmesh/server';

const registry = await startRegistry(JSON.parse(process.argv[2]!) as object);
process.once('SIGTERM', () => void registry.close().then(() => process.exit(0)));
process.send!(registry.port);
