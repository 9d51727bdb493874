import { parseCertificate } from './certificate.ts';
import type { Anchor } from './path.ts';
import { pemBlocks } from './pem.ts';
import { readKey } from './signature.ts';

/** The roots of a PEM text, or why they cannot be used. All or none: half a bundle would refuse peers for no visible reason. Never throws. */
export function parseRoots(pem: string): readonly Anchor[] | string {
  const blocks = pemBlocks(pem, 'CERTIFICATE');
  if (typeof blocks === 'string') return blocks;
  const anchors: Anchor[] = [];
  for (const [index, der] of blocks.entries()) {
    const parsed = parseCertificate(der);
    if (!parsed.ok) return `root ${index + 1}: ${parsed.reason}`;
    const { certificate } = parsed;
    const key = readKey(certificate.publicKey);
    if (typeof key === 'string') return `root ${index + 1}: ${key}`;
    if (certificate.basicConstraints?.ca !== true) return `root ${index + 1}: it is no CA (basic constraints)`;
    anchors.push({ certificate, key });
  }
  return anchors;
}
