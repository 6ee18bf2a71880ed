/** Shows of one search what each channel retrieved, and why a document ranks where it does. */
package org.iterqr.opensearch.explain;
