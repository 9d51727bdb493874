/**
 * Zero-code adoption: `INMESH_POLICY=./policy node --import inmesh/register app.js`. The program starts when the policy is
 * in force, and its global fetch follows the mesh.
 */
import { createMesh } from './create-mesh.ts';

const mesh = await createMesh();
mesh.install();
