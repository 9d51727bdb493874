export {
  createDevCa,
  DevCa,
  type DevCaOptions,
  type DevCaState,
  type DevRoot,
  type DevSvid,
  type DevSvidRequest,
  type RotationStep,
} from './ca.ts';
export { loadDevCa, saveDevCa, writeSvid } from './folder.ts';
export { devCertificates, type DevCertificatesOptions } from './source.ts';
