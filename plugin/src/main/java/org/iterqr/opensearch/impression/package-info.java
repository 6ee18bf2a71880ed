/**
 * The impression log: what every sampled search showed and why, written in bulk beside the
 * searches.
 */
package org.iterqr.opensearch.impression;
