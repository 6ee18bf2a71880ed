/** Simulated time: searches of development nodes that say when they happened. */
package org.iterqr.opensearch.eventtime;
