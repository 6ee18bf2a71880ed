/** Who searches: the ids that tie a search to its clicks, and how they are kept private. */
package org.iterqr.opensearch.identity;
