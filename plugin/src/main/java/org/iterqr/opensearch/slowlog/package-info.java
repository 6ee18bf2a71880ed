/** A log of the searches that the channel held up for long. */
package org.iterqr.opensearch.slowlog;
