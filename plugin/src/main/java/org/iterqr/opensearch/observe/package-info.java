/** Who is told of every answered search: counters, logs. */
package org.iterqr.opensearch.observe;
