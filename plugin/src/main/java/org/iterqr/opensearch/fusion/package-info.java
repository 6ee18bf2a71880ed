/** Windows and how they are fused; pure, knows nothing of OpenSearch. */
package org.iterqr.opensearch.fusion;
