/** The channel of one search: its state, its window searches and its fetches. */
package org.iterqr.opensearch.search;
